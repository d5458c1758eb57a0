import { createHash } from 'node:crypto';
import { minorDigits } from '../../../orders/sale';
import type { BuyerAction, ChargeRecord } from '../ledger/charge-record';
import { refundedOf } from '../ledger/returns';
import type { SimulatorResponse } from './response';

/** The page on which a buyer pays, or sees what became of the payment. Its forms need no JavaScript. */
export function paymentPage(record: ChargeRecord): SimulatorResponse {
  return html(200, 'Payment', `${summary(record)}${stateOf(record)}`);
}

/** A buyer who has left: nothing changes, and the payment can be made later. */
export function walkedAwayPage(record: ChargeRecord): SimulatorResponse {
  const text = 'You have left without paying, and no money was taken.';
  const back = `<p><a href="/pay/${record.token}">Go back to the payment</a></p>`;
  return html(200, 'Not paid', `<h1>Not paid</h1><p role="status">${text}</p>${back}`);
}

export function noSuchPage(): SimulatorResponse {
  const text = 'There is no such payment. Open the page from your order again.';
  return html(404, 'No such payment', `<h1>No such payment</h1><p>${text}</p>`);
}

function summary({ context, amount, currency, key }: ChargeRecord): string {
  const item = context ? `<dt>Item</dt><dd>${escape(context.itemId)}</dd>` : '';
  const order = `<dt>Order</dt><dd>${escape(context?.requestId ?? key)}</dd>`;
  return `<h1>Payment of ${money(amount, currency)}</h1><dl>${item}${order}</dl>`;
}

function stateOf(record: ChargeRecord): string {
  const { status, card, token, amount, currency } = record;
  switch (status) {
    case 'open':
      return card === 'challenge' ? challenge(token) : cards(token, card);
    case 'processing':
      return `${told('Your bank is still deciding. You need not wait here.')}${form(token, [
        ['approve', 'The bank accepts'],
        ['decline', 'The bank declines'],
      ])}`;
    case 'captured': {
      const refunded = refundedOf(record);
      const text = refunded === 0 ? '' : ` ${money(refunded, currency)} were given back.`;
      return told(`You have paid ${money(amount, currency)}.${text}`);
    }
    case 'refunded':
      return told(`You have paid, and ${money(refundedOf(record), currency)} were given back.`);
    case 'cancelled':
    case 'blocked':
      return told('This payment was cancelled. No money was taken, and none can be paid any more.');
    case 'declined':
      return told('This payment was declined. No money was taken.');
  }
}

const CARD_RESULTS: Readonly<Record<string, string>> = {
  card_declined: 'Your card was declined.',
  insufficient_funds: 'Your card has insufficient funds.',
  authentication_failed: 'Your bank could not confirm that it is you.',
};

function cards(token: string | undefined, last: string | undefined): string {
  const text = last === undefined ? '' : (CARD_RESULTS[last] ?? last);
  const alert = text && `<p role="alert">${escape(text)} No money was taken: try another card.</p>`;
  const offered = form(token, [
    ['approve', 'Pay with a card that is accepted'],
    ['challenge', 'Pay with a card that asks for confirmation'],
    ['decline', 'Pay with a card that is declined'],
    ['insufficient-funds', 'Pay with a card without enough money'],
    ['processing', 'Pay with a bank that takes its time'],
  ]);
  return `${alert}${offered}<p><a href="/pay/${token}/left">Leave without paying</a></p>`;
}

function challenge(token: string | undefined): string {
  return `<h2>Your bank asks: is it you?</h2>${form(token, [
    ['approve-challenge', 'Yes, confirm the payment'],
    ['fail-challenge', 'No, do not pay with this card'],
  ])}`;
}

function form(
  token: string | undefined,
  buttons: readonly (readonly [BuyerAction, string])[],
): string {
  const shown = buttons.map(
    ([action, text]) => `<button name="action" value="${action}">${text}</button>`,
  );
  return `<form method="post" action="/pay/${token}">${shown.join('')}</form>`;
}

function told(text: string): string {
  return `<p role="status">${text}</p>`;
}

/** By the digits of ISO 4217: what the platform shows of some currencies differs. */
function money(amountMinor: number, currency: string | null): string {
  const code = currency ?? 'XXX';
  const digits = minorDigits(code);
  const format = new Intl.NumberFormat('en', {
    style: 'currency',
    currency: code,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return escape(format.format(amountMinor / 10 ** digits));
}

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; }
main { max-width: 30rem; margin: 0 auto; padding: 1.5rem 1rem; }
h1 { font-size: 1.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
form { display: grid; gap: 0.75rem; }
button { font: inherit; padding: 0.75rem 1rem; cursor: pointer; }
[role='alert'], [role='status'] { border-left: 0.25rem solid; padding-left: 0.75rem; }
footer { margin-top: 2rem; font-size: 0.875rem; }
`;

/** The page runs no scripts, loads nothing, and is shown in no frame; its address, a secret, goes to no other site. */
const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
};

function html(status: number, title: string, content: string): SimulatorResponse {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style>`;
  const footer = '<footer>This is the payment simulator: no real money moves.</footer>';
  const body = `<!doctype html><html lang="en"><head>${head}</head><body><main>${content}${footer}</main></body></html>`;
  return { status, body, headers: PAGE_HEADERS };
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
