-- How long the buyer of an order without an end has to pay it, in milliseconds. Null: the engine charges by itself, or the
-- order has ended.
alter table orders add column pay_within_ms bigint;
