"""One function per format: from a path or settings to records, one document at a time."""

from core.data.readers.columns import INDICATOR as INDICATOR
from core.data.readers.columns import PARTS as PARTS
from core.data.readers.columns import columns_of as columns_of
from core.data.readers.columns import read_documents as read_documents
from core.data.readers.columns import sentences as sentences
from core.data.readers.notation import name_list as name_list
from core.data.readers.record import Record as Record
from core.data.readers.reuters import SGML_FILE as SGML_FILE
from core.data.readers.reuters import open_reuters as open_reuters
from core.data.readers.reuters import read_reuters_nltk as read_reuters_nltk
from core.data.readers.reuters import read_reuters_sgml as read_reuters_sgml
from core.data.readers.roles import Reading as Reading
from core.data.readers.roles import find_separator as find_separator
from core.data.readers.roles import first_rows as first_rows
from core.data.readers.roles import guess as guess
from core.data.readers.roles import preview as preview
from core.data.readers.roles import study as study
from core.data.readers.roles import study_rows as study_rows
from core.data.readers.rows import SUFFIXES as SUFFIXES
from core.data.readers.rows import Row as Row
from core.data.readers.rows import read_rows as read_rows
from core.data.readers.rows import sniff as sniff
from core.data.readers.rows import unit as unit
from core.data.readers.synthetic import confused_pairs as confused_pairs
from core.data.readers.synthetic import label_names as label_names
from core.data.readers.synthetic import make_synthetic as make_synthetic
