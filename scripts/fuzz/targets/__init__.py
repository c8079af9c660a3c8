"""One module for each parser of files that strangers write.

A target module has:
    seeds()      files that are nearly right, to begin with;
    check(data)  feeds one file to the parser, and raises where a promise is broken;
    WORDS        what is worth writing into such files;
    MAX_BYTES    the longest file to try.
"""

NAMES = (
    "labels",
    "data_yaml",
    "image_list",
    "ndjson",
    "tar_header",
    "jpeg_header",
    "journal",
    "saved_report",
    "decisions",
)
