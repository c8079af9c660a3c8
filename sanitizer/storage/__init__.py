"""The places where files lie: this disk, an archive, a web server or a bucket, all read through one protocol."""
