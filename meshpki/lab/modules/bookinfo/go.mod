module meshpki.dev/lab/bookinfo

go 1.26.0
