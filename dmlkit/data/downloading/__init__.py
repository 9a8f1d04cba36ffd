"""YouTube-8M from a server into a folder: every file whole and of the hash that the plan names, or told as missing.

    partitions    what there is to fetch, and from where
    plans         a server's list of files and hashes, believed as far as it is harmless
    asking        one request: bounded, undecoded, over http and https only
    fetching      one file: continued, tried again, compared with its hash, put in place
    standing      what is in the folder already, and the record of what was compared
    space         how much is to come, and whether the disk holds it
    crew          several files at a time
    names         the names of the classes, which no plan lists
    gathering     the files, one after the other, and which are missing
    downloads     all of it together: `download`

Why requests, and not pooch over it: pooch 1.9 begins every attempt at the first byte, unpacks what a server says is
packed and sets no bound to what it writes. Why neither ETag nor If-Range: the plan's MD5 says better than they do
whether the two halves of a file belong together, also where the halves come from two mirrors or two days.
"""

from dmlkit.data.downloading.asking import Patience
from dmlkit.data.downloading.downloads import Downloaded, download
from dmlkit.data.downloading.gathering import TOLD, IncompleteDownload
from dmlkit.data.downloading.partitions import MIRRORS, PARTITIONS

__all__ = ["MIRRORS", "PARTITIONS", "TOLD", "Downloaded", "IncompleteDownload", "Patience", "download"]
