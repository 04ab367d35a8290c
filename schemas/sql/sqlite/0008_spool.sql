-- A spool: taps told here that a database has yet to take. Oldest code that may read it: schema 3, which has none.

CREATE TABLE spooled (
  tap  INTEGER PRIMARY KEY REFERENCES tap (id),
  uuid TEXT,                             -- under which the database was asked first; NULL: nothing can ever be sent
  at   INTEGER NOT NULL                  -- when, on the schedule clock
) STRICT;
