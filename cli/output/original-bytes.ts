import { utf8Text } from '../../engine/dead-letters/letters';
import { plain } from './terminal';

/** A screenful or two; --json has the rest. */
const SHOWN_BYTES_MAX = 4_096;
const BYTES_PER_LINE = 16;

/** The beginning of a record's bytes for a terminal: as text with what steers made visible, otherwise in hexadecimal. */
export function originalBytes(bytes: Buffer): string {
  const head = `original record, ${bytes.length} bytes:\n`;
  if (bytes.length === 0) return head;
  const text = utf8Text(bytes);
  const body =
    text === undefined
      ? hexLines(bytes.subarray(0, SHOWN_BYTES_MAX))
      : `  ${plain(text.slice(0, SHOWN_BYTES_MAX))}`;
  const rest = bytes.length > SHOWN_BYTES_MAX ? '\n  … and more: --json shows all of it' : '';
  return `${head}${body}${rest}\n`;
}

function hexLines(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const line = bytes.subarray(at, at + BYTES_PER_LINE);
    const hex = (line.toString('hex').match(/../g) ?? []).join(' ');
    const text = line.toString('latin1').replace(/[^\x20-\x7e]/g, '.');
    const place = at.toString(16).padStart(4, '0');
    lines.push(`  ${place}  ${hex.padEnd(3 * BYTES_PER_LINE)} ${text}`);
  }
  return lines.join('\n');
}
