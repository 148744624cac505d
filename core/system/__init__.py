"""Ground floor: errors that are sentences, places, files, locks, processes, the machine."""
