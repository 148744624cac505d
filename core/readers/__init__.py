"""One function per format: from a path or settings to records, one document at a time."""

from core.readers.record import Record as Record
from core.readers.reuters import SGML_FILE as SGML_FILE
from core.readers.reuters import open_reuters as open_reuters
from core.readers.reuters import read_reuters_nltk as read_reuters_nltk
from core.readers.reuters import read_reuters_sgml as read_reuters_sgml
from core.readers.synthetic import confused_pairs as confused_pairs
from core.readers.synthetic import label_names as label_names
from core.readers.synthetic import make_synthetic as make_synthetic
