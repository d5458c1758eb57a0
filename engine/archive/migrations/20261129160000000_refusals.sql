-- Purchases that were refused, in sums: a refusal is never a record. Each gateway process writes the sums of its own seconds.
create table refusals (
  item_id text collate "C",
  at timestamptz(0),
  reason text,
  -- Made when the process starts, so that a second that is written again replaces its sum.
  gateway text,
  requests bigint not null,
  primary key (item_id, at, reason, gateway)
);
