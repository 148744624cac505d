"""One function per format: from a path or settings to records, one document at a time."""

from core.data.readers.columns import INDICATOR as INDICATOR
from core.data.readers.columns import columns_of as columns_of
from core.data.readers.columns import find_separator as find_separator
from core.data.readers.columns import first_rows as first_rows
from core.data.readers.columns import guess as guess
from core.data.readers.columns import preview as preview
from core.data.readers.columns import read_documents as read_documents
from core.data.readers.encodings import Proposal as Proposal
from core.data.readers.parts import SUFFIXES as SUFFIXES
from core.data.readers.record import Record as Record
from core.data.readers.reuters import SGML_FILE as SGML_FILE
from core.data.readers.reuters import open_reuters as open_reuters
from core.data.readers.reuters import read_reuters_nltk as read_reuters_nltk
from core.data.readers.reuters import read_reuters_sgml as read_reuters_sgml
from core.data.readers.row import Row as Row
from core.data.readers.rows import SAVED as SAVED
from core.data.readers.rows import is_data_name as is_data_name
from core.data.readers.rows import propose_encoding as propose_encoding
from core.data.readers.rows import read_rows as read_rows
from core.data.readers.rows import sniff as sniff
from core.data.readers.rows import unit as unit
from core.data.readers.synthetic import confused_pairs as confused_pairs
from core.data.readers.synthetic import label_names as label_names
from core.data.readers.synthetic import make_synthetic as make_synthetic
