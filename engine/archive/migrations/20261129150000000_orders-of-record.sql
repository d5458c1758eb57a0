-- Ids are compared byte by byte, as the engine compares them. Times are those of the records, in milliseconds.

create table orders (
  -- Of an order that is older than order ids: its request_id and the time of its acceptance (orderKey in projection.ts).
  order_id text collate "C" primary key,
  request_id text collate "C" not null,
  item_id text collate "C" not null,
  user_id text collate "C" not null,
  amount integer not null,
  price_minor bigint not null,
  currency text not null,
  accepted_at timestamptz(3) not null,
  -- From here on: what the newest event says. Readers use the view order_states.
  status text not null,
  reason text,
  payment_id text collate "C",
  generation bigint not null,
  -- 0: only the record of the order is known.
  revision bigint not null,
  finished_at timestamptz(3),
  archived_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now()
);
create index orders_by_request on orders (request_id, accepted_at);
create index orders_by_user on orders (user_id, accepted_at, order_id);
create index orders_by_item on orders (item_id, accepted_at, order_id);
create index orders_by_status on orders (status, accepted_at, order_id);
create index orders_by_reason on orders (reason, accepted_at, order_id) where reason is not null;
create index orders_by_time on orders (accepted_at, order_id);
create index orders_by_payment on orders (payment_id) where payment_id is not null;
-- Increments: the start of the transaction that wrote the row, so that a reader has to look back by as long as one may take.
create index orders_by_update on orders (updated_at);

create table order_events (
  order_id text collate "C",
  revision bigint,
  status text not null,
  reason text,
  payment_id text collate "C",
  generation bigint not null,
  at timestamptz(3) not null,
  primary key (order_id, revision)
);

-- Letters and marks whose record names no time have the epoch.
create table dead_letters (
  letter_id text collate "C" primary key,
  request_id text collate "C",
  order_id text collate "C",
  item_id text collate "C",
  reason text not null,
  error text not null,
  generation bigint not null,
  run_id text,
  at timestamptz(3) not null,
  source_topic text,
  source_partition integer,
  source_offset text,
  value bytea not null,
  -- The first place of the letter in its topic.
  partition integer not null,
  record_offset bigint not null
);
create index dead_letters_by_order on dead_letters (order_id) where order_id is not null;
create index dead_letters_by_request on dead_letters (request_id) where request_id is not null;
create index dead_letters_by_time on dead_letters (at, letter_id);

-- No foreign key: a mark may be archived before its letter.
create table dead_letter_marks (
  letter_id text collate "C",
  at timestamptz(3),
  kind text,
  by text,
  why text not null,
  run_id text,
  partition integer not null,
  record_offset bigint not null,
  primary key (letter_id, at, kind, by)
);

create table operator_actions (
  action_id text collate "C" primary key,
  -- Of the outcome, where there is one.
  at timestamptz(3) not null,
  action text not null,
  item_id text collate "C",
  by text not null,
  on_behalf_of text,
  role text,
  credential text,
  door text,
  http_request_id text,
  why text,
  request jsonb,
  -- Null: only the intent is known.
  outcome text,
  detail text,
  before jsonb,
  after jsonb
);
create index operator_actions_by_time on operator_actions (at);

-- Records that cannot be archived as what they should be.
create table set_aside (
  topic text,
  partition integer,
  record_offset bigint,
  problem text not null,
  key bytea,
  value bytea,
  set_aside_at timestamptz(3) not null default now(),
  primary key (topic, partition, record_offset)
);

-- Up to where each log is in the tables above. It changes in the transaction that writes their rows.
create table log_positions (
  topic text,
  partition integer,
  next_offset bigint not null,
  primary key (topic, partition)
);

-- The orders as they are read. Some acceptances never have an event, and what they are follows from other rows, whatever
-- was archived first:
-- * A dead letter has ended it: it failed, unless the letter is marked as replayed or sold.
-- * The same purchase was accepted again under another order id, or was accepted before and not over yet. One run carries
--   out both, under the order id that the ledger has: this row repeats that order.
create view order_states as
select
  o.order_id, o.request_id, o.item_id, o.user_id, o.amount, o.price_minor, o.currency, o.accepted_at,
  case
    when o.revision > 0 then o.status
    when letter.mark = 'sold' then 'confirmed'
    when letter.mark is distinct from 'replayed' and letter.letter_id is not null then 'failed'
    when exists (
      select from orders other
      where other.request_id = o.request_id and other.order_id <> o.order_id
        and other.item_id = o.item_id and other.user_id = o.user_id and other.amount = o.amount
        and ((other.accepted_at, other.order_id) > (o.accepted_at, o.order_id) or other.finished_at >= o.accepted_at)
    ) then 'repeated'
    else o.status
  end as status,
  case when letter.mark is null then coalesce(o.reason, letter.reason) end as reason,
  o.payment_id,
  case when letter.mark is null then coalesce(letter.generation, o.generation) else o.generation end as generation,
  o.revision,
  case when letter.mark is null then coalesce(o.finished_at, letter.at) end as finished_at,
  o.archived_at, o.updated_at
from orders o
left join lateral (
  select
    l.letter_id, l.reason, l.generation, l.at,
    (
      select m.kind from dead_letter_marks m
      where m.letter_id = l.letter_id and m.kind <> 'discarded'
      order by m.at desc, m.kind limit 1
    ) as mark
  from dead_letters l
  where o.revision = 0 and l.order_id = o.order_id
  order by l.at desc, l.letter_id desc
  limit 1
) letter on true;
