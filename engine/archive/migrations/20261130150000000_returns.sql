-- Refunds of sold orders, and disputes about them, each with the latest status that is known.
create table order_returns (
  order_id text collate "C",
  kind text,
  -- The provider's.
  id text collate "C",
  -- Null: nobody has asked the engine for it.
  operation_id text collate "C",
  amount_minor bigint not null,
  status text not null,
  reason text,
  at timestamptz(3) not null,
  primary key (order_id, kind, id)
);
-- Of a refunded sale whose units were put back.
alter table stock_changes add column order_id text collate "C";
create index stock_changes_by_order on stock_changes (order_id) where order_id is not null;

create or replace view order_states as
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
  o.archived_at, o.updated_at,
  (
    select coalesce(sum(r.amount_minor), 0) from order_returns r
    where r.order_id = o.order_id and r.kind = 'refund' and r.status <> 'failed'
  ) as refunded_minor,
  (select coalesce(sum(c.units), 0) from stock_changes c where c.order_id = o.order_id) as restocked
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
