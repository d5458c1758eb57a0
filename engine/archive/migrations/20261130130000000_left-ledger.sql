-- When an order left the ledger in Redis; null while its entry may be there.
alter table orders add column left_ledger_at timestamptz(3);
create index orders_in_ledger on orders ((status = 'failed'), finished_at, order_id)
  where left_ledger_at is null and revision > 0;
