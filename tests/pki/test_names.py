import pytest

from meshpki.pki.names import holds_strings_only

COUNTRY = bytes.fromhex("0603550406")


def name(*values: bytes) -> bytes:
    """Relative names of one country each, its value given with its tag."""
    relatives = b"".join(element(0x31, element(0x30, COUNTRY + value)) for value in values)
    return element(0x30, relatives)


def element(tag: int, content: bytes) -> bytes:
    length = bytes([len(content)]) if len(content) < 128 else b"\x82" + len(content).to_bytes(2, "big")
    return bytes([tag]) + length + content


@pytest.mark.parametrize(
    ("tag", "strings"),
    [(0x0C, True), (0x13, True), (0x16, True), (0x1E, True), (0x03, True), (0x17, False), (0x18, False), (0x04, False)],
)
def test_a_value_of_a_name_is_a_string_or_the_name_is_refused(tag: int, strings: bool) -> None:
    assert holds_strings_only(name(element(0x13, b"US"), element(tag, b"US"))) is strings


def test_an_empty_name_holds_nothing_else() -> None:
    assert holds_strings_only(name())


def test_values_of_any_length_are_passed_over() -> None:
    long = element(0x0C, b"a" * 300)
    assert holds_strings_only(name(long, long))
    assert not holds_strings_only(name(long, element(0x17, b"US")))
