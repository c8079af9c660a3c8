"""Where files lie: this disk, an archive, a web server or a bucket, asked through one protocol."""
