-- The orders without an end are found among those that have one, and their rows are few.
create index orders_unended on orders (item_id, accepted_at, order_id) where revision = 0;
