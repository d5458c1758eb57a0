-- What has changed of an item itself: its units from outside, its sale, its ledger. Copied from the ledger's own stream.
create table stock_changes (
  item_id text collate "C",
  -- Of the stream: a time of Redis, and a number in it.
  at timestamptz(3),
  seq bigint,
  kind text not null,
  -- By how much the supply has changed. Null: not a change of free units.
  units bigint,
  free bigint not null,
  supply bigint not null,
  -- False: the ledger was not opened yet, or was lost, and the numbers say nothing of the orders.
  is_open boolean not null,
  -- As the ledger has it, by name. Null: it could not be read.
  sale jsonb,
  by text,
  why text,
  operation text collate "C",
  archived_at timestamptz(3) not null default now(),
  primary key (item_id, at, seq)
);
