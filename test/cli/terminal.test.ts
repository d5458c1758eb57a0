import { progressBar } from '../../cli/dlq-replay';
import { money, paint, plain, printJson, table } from '../../cli/terminal';
import { textTerminal } from './text-terminal';

test('makes visible what a terminal would obey, and keeps every other character', () => {
  expect(plain('\u001b[31m é ✓ \u009b \u202e \u2028')).toBe(
    '\\u001b[31m é ✓ \\u009b \\u202e \\u2028',
  );
});

test('a JSON document reads back as what it was, without steering characters in it', () => {
  const terminal = textTerminal();
  const value = { text: 'a\u001b\u009b\u202e\u{e0041}é\n' };
  printJson(terminal, value);
  expect(JSON.parse(terminal.written())).toEqual(value);
  expect(terminal.written().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
});

test('colours only where there are any', () => {
  expect(paint({ colour: false }, 'red', 'no')).toBe('no');
  expect(paint({ colour: true }, 'red', 'no')).toBe('\u001b[31mno\u001b[0m');
});

test('a table without colours has none, not even in its head and border', () => {
  const text = table({ colour: false }, [[{ text: 'one', colour: 'green' }, 2]], ['a', 'b']);
  expect(text).not.toContain('\u001b');
  expect(text).toContain('one');
});

test.each([
  [1000, 'USD', '10.00 USD'],
  [1000, 'JPY', '1000 JPY'],
  [1234, 'KWD', '1.234 KWD'],
  [5, 'pebbles', '5 pebbles'],
])('%i minor units of %s are %s', (minor, currency, text) => {
  expect(money(minor, currency)).toBe(text);
});

test.each([
  [0, 4, 0],
  [1, 4, 6],
  [4, 4, 24],
  [0, 0, 24],
])('%i of %i fills %i places of twenty-four', (done, total, filled) => {
  const bar = progressBar(done, total);
  expect([bar.length, bar.split('#').length - 1]).toEqual([26, filled]);
});
