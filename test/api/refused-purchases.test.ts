import { ITEM, openGateway } from './open-gateway';

const body = (fields: object) =>
  JSON.stringify({ user_id: 'u1', item_id: ITEM, amount: 1, request_id: 'req-1', ...fields });

async function refusedOf(purchases: readonly object[], units: number) {
  const refused: unknown[] = [];
  const open = await openGateway({
    units,
    change: () => ({ onRefused: (itemId, problem) => refused.push([itemId, problem]) }),
  });
  try {
    for (const purchase of purchases) {
      await fetch(`${open.url}/buy`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: body(purchase),
      });
    }
  } finally {
    await open.close();
  }
  return refused;
}

test('a purchase that finds no unit is counted under its item, an accepted one is not', async () => {
  const purchases = [{}, { request_id: 'req-2', user_id: 'u2' }];
  expect(await refusedOf(purchases, 1)).toEqual([[ITEM, 'sold-out']]);
});

test('a body that names no item is not counted', async () => {
  expect(await refusedOf([{ item_id: undefined }], 1)).toEqual([]);
});
