import { createHash } from 'node:crypto';
import type { Charge } from '../../../engine/payments/payment-provider';
import { newCharge } from './payment-provider.contract';
import { startSimulator } from './running-simulator';

describe('the payment page of the simulator', () => {
  let simulator: Awaited<ReturnType<typeof startSimulator>>;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterAll(() => simulator.close());

  const opened = async (changes: Partial<Charge> = {}) => {
    const charge = newCharge(changes);
    const result = await simulator.provider.checkout(charge);
    if (result.kind !== 'pending' || !('url' in result.page)) throw new Error('it has a page');
    return { charge, key: charge.key, page: result.page.url };
  };
  const open = async (page: string) => {
    const response = await fetch(page);
    return { status: response.status, headers: response.headers, html: await response.text() };
  };
  /** Presses a button of the page as a browser does without JavaScript, and returns the page that it comes to. */
  const press = async (page: string, label: string) => {
    const { html } = await open(page);
    const [, action = ''] = /<form method="post" action="([^"]*)">/.exec(html) ?? [];
    const [, value] = new RegExp(`<button name="action" value="([^"]*)">${label}`).exec(html) ?? [];
    if (value === undefined) throw new Error(`${label} is not among the buttons of ${html}`);
    const body = new URLSearchParams({ action: value });
    const sent = await fetch(new URL(action, page), { method: 'POST', body, redirect: 'manual' });
    expect(sent.status).toBe(303);
    return (await open(new URL(sent.headers.get('location') ?? '', page).href)).html;
  };
  const buttonsOf = (html: string) => html.split('<button').length - 1;

  it('shows the item, the order and the amount in the form of its currency', async () => {
    const { charge, page } = await opened({ amountMinor: 123_456 });
    const { status, html } = await open(page);
    expect(status).toBe(200);
    expect(html).toContain('<h1>Payment of $1,234.56</h1>');
    expect(html).toContain('<dt>Item</dt><dd>101</dd>');
    expect(html).toContain(`<dt>Order</dt><dd>${charge.context.requestId}</dd>`);
  });

  it.each([
    ['JPY', '¥5,000'],
    ['KWD', 'KWD\u00a05.000'],
    ['IQD', 'IQD\u00a05.000'],
    ['ISK', 'ISK\u00a05,000'],
    ['EUR', '€50.00'],
  ])('has the digits of %s: %s', async (currency, shown) => {
    const { page } = await opened({ amountMinor: 5_000, currency });
    expect((await open(page)).html).toContain(`<h1>Payment of ${shown}</h1>`);
  });

  it('takes the money with a card that is accepted, and then offers nothing more', async () => {
    const { key, page } = await opened();
    const html = await press(page, 'Pay with a card that is accepted');
    expect(html).toContain('<p role="status">You have paid $10.00.</p>');
    expect(buttonsOf(html)).toBe(0);
    await expect(simulator.moneyHeld(key)).resolves.toBe(1000);
  });

  it.each([
    ['Pay with a card that is declined', 'Your card was declined.'],
    ['Pay with a card without enough money', 'Your card has insufficient funds.'],
  ])('tells what has failed, and takes another card: %s', async (label, told) => {
    const { key, page } = await opened();
    const html = await press(page, label);
    expect(html).toContain(`<p role="alert">${told} No money was taken: try another card.</p>`);
    await expect(simulator.provider.find(key)).resolves.toEqual({ kind: 'pending' });
    await press(page, 'Pay with a card that is accepted');
    await expect(simulator.moneyHeld(key)).resolves.toBe(1000);
  });

  it('asks for confirmation, and takes the money once that is given', async () => {
    const { key, page } = await opened();
    const html = await press(page, 'Pay with a card that asks for confirmation');
    expect(html).toContain('<h2>Your bank asks: is it you?</h2>');
    await expect(simulator.moneyHeld(key)).resolves.toBe(0);
    await expect(press(page, 'Yes, confirm the payment')).resolves.toContain('You have paid');
    await expect(simulator.moneyHeld(key)).resolves.toBe(1000);
  });

  it('takes another card where the confirmation is not given', async () => {
    const { page } = await opened();
    await press(page, 'Pay with a card that asks for confirmation');
    const html = await press(page, 'No, do not pay with this card');
    expect(html).toContain('could not confirm that it is you');
    await expect(press(page, 'Pay with a card that is accepted')).resolves.toContain('paid');
  });

  it('shows that a bank is deciding', async () => {
    const { key, page } = await opened();
    const html = await press(page, 'Pay with a bank that takes its time');
    expect(html).toContain('Your bank is still deciding');
    await expect(simulator.statusOf(key)).resolves.toBe('processing');
    await expect(press(page, 'The bank accepts')).resolves.toContain('You have paid');
  });

  it('can be left without paying, and opened again', async () => {
    const { key, page } = await opened();
    const [, left = ''] =
      /<a href="([^"]*)">Leave without paying/.exec((await open(page)).html) ?? [];
    const { html } = await open(new URL(left, page).href);
    expect(html).toContain('You have left without paying, and no money was taken.');
    expect(html).toContain(`<a href="${new URL(page).pathname}">`);
    await expect(simulator.provider.find(key)).resolves.toEqual({ kind: 'pending' });
  });

  it('shows a cancelled payment, and one that was given back in part and as a whole', async () => {
    const [cancelled, refunded] = [await opened(), await opened()];
    const old = (await open(cancelled.page)).html;
    await simulator.provider.cancel(cancelled.key);
    const { html } = await open(cancelled.page);
    expect(html).toContain('This payment was cancelled.');
    expect([buttonsOf(old), buttonsOf(html)]).toEqual([5, 0]);
    await press(refunded.page, 'Pay with a card that is accepted');
    const { key } = refunded;
    await simulator.provider.refundSale({ key, refundKey: '1', amountMinor: 400, currency: 'USD' });
    expect((await open(refunded.page)).html).toContain(
      'You have paid $10.00. $4.00 were given back.',
    );
    await simulator.provider.refund(key);
    expect((await open(refunded.page)).html).toContain('and $10.00 were given back.');
  });

  it('takes nothing by a form that was loaded before the payment was cancelled', async () => {
    const { key, page } = await opened();
    await simulator.provider.cancel(key);
    const body = new URLSearchParams({ action: 'approve' });
    const response = await fetch(page, { method: 'POST', body });
    await expect(response.text()).resolves.toContain('This payment was cancelled.');
    await expect(simulator.moneyHeld(key)).resolves.toBe(0);
  });

  it('runs no script, loads nothing, and is neither kept nor framed nor told of', async () => {
    const { page } = await opened();
    const { headers, html } = await open(page);
    const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(html) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    expect(headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    );
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(html).not.toMatch(/<script|https?:|style="/);
  });

  it('shows ids as texts, whatever is in them', async () => {
    const itemId = `<img src=x onerror="alert('1')">&`;
    const { page } = await opened({ context: { requestId: '<b>', itemId, userId: 'u1' } });
    const { html } = await open(page);
    expect(html).not.toMatch(/<img|<b>/);
    expect(html).toContain('&#60;b&#62;');
  });

  it('is not found under another token', async () => {
    const { page } = await opened();
    const other = await open(`${page.slice(0, -1)}${page.endsWith('A') ? 'B' : 'A'}`);
    expect(other.status).toBe(404);
    expect(other.html).toContain('There is no such payment.');
  });
});
