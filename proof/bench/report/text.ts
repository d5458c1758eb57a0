import Table from 'cli-table3';
import { describeBar, verdict, type ReportTable, type SuiteResult } from './figure';

/** A suite's result for people: its tables, then each figure beside its bar. */
export function resultText(name: string, { tables, figures, violations }: SuiteResult): string {
  const parts = tables.map((table) => tableText(table));
  if (figures.length > 0) {
    const rows = figures.map((figure) => [
      figure.what,
      figure.value.toFixed(2),
      describeBar(figure.bar),
      verdict(figure),
    ]);
    parts.push(tableText({ title: name, head: ['figure', 'measured', 'bar', ''], rows }));
  }
  for (const violation of violations) parts.push(`VIOLATION: ${violation}\n`);
  return parts.join('\n');
}

function tableText({ title, head, rows }: ReportTable): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push(row.map(String));
  return `${title}\n${table.toString()}\n`;
}

/** 12345.6 is "12,346"; below 100 one decimal is kept. */
export function rounded(value: number): string {
  if (Number.isNaN(value)) return '-';
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 });
}
