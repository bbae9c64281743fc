"""The report of verify in every form: pure functions, used by `verify` and at the end of `up`.

Names in certificates and messages of the cluster are data: characters that steer a terminal are shown by number.
"""

from meshpki.cli.verdicts.document import KIND, as_json, as_yaml, schema
from meshpki.cli.verdicts.table import short, summary, table
from meshpki.cli.verdicts.tree import tree
from meshpki.cli.verdicts.wide import wide
from meshpki.cli.verdicts.words import left, plain, short_name

__all__ = [
    "KIND",
    "as_json",
    "as_yaml",
    "left",
    "plain",
    "schema",
    "short",
    "short_name",
    "summary",
    "table",
    "tree",
    "wide",
]
