"""The journal of a rollout and what is made of it: account, report, replay, resume, status."""

from rollout.journal.journal import (
    FileJournal,
    JournalError,
    NoJournal,
    Record,
    parse_journal,
    parse_record,
    read_journal,
    utc,
)

__all__ = [
    "FileJournal",
    "JournalError",
    "NoJournal",
    "Record",
    "parse_journal",
    "parse_record",
    "read_journal",
    "utc",
]
