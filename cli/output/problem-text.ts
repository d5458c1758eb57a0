import type { Problem } from '../gateway/gateway-answers';
import { orderText, type TraceFallback } from './order-text';
import { paint, plain, type Terminal } from './terminal';

/** A refusal for people, with the order where it names one. `again` is said where asking again may help. */
export function problemText(
  terminal: Pick<Terminal, 'colour'>,
  { status, type, title, detail, errors, order }: Problem,
  { again, trace }: { readonly again: string; readonly trace: TraceFallback },
): string {
  const word = paint(terminal, 'red', `${status} ${plain(type)}`);
  const lines = [
    `${word}  ${plain(title)}: ${plain(detail)}\n`,
    ...errors.map(({ path, message }) => `  ${plain(path || 'the request')} ${plain(message)}\n`),
  ];
  if (order) lines.push(orderText(terminal, order, trace));
  else if (status === 503) lines.push(`  ${plain(again)}\n`);
  return lines.join('');
}
