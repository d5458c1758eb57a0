-- Open letters are found by an index, however many were dealt with. False only where a mark is archived; a version before
-- this one leaves it true, so readers look for marks as well.
alter table dead_letters add column is_open boolean not null default true;
update dead_letters l set is_open = false
where exists (select from dead_letter_marks m where m.letter_id = l.letter_id);
create index dead_letters_open on dead_letters (at, letter_id) where is_open;
create index dead_letters_by_item on dead_letters (item_id, at, letter_id);
create index dead_letters_by_reason on dead_letters (reason, at, letter_id);
-- What a record needs to be projected again, as JSON with values in base64. Null: of a version before this one.
alter table set_aside add column headers bytea;
