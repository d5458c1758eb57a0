/** Prints a summary after jest's output: tests by kind and part, and the real systems they used. */
const KINDS = [
  ['integration', 'on real Redis, Kafka and Temporal'],
  ['scenario', 'the built processes, with crowds and kills'],
  ['replay', 'recorded workflow histories against the current code'],
  ['container', 'the compose project on a Docker engine'],
  ['protocol', 'random walks of the protocol'],
];

class SummaryReporter {
  onRunComplete(_contexts, results) {
    const rows = new Map();
    for (const { testFilePath, numPassingTests, numFailingTests } of results.testResults) {
      const part =
        /[\\/]test[\\/](?:([^\\/]+)[\\/])?/.exec(testFilePath)?.[1] ?? 'the repository itself';
      const row = rows.get(part) ?? { files: 0, passed: 0, failed: 0 };
      row.files += 1;
      row.passed += numPassingTests;
      row.failed += numFailingTests;
      rows.set(part, row);
    }
    const order = (part) => KINDS.findIndex(([kind]) => kind === part);
    const lines = [...rows]
      .sort(([a], [b]) => order(a) - order(b) || a.localeCompare(b))
      .map(([part, { files, passed, failed }]) => {
        const what = KINDS.find(([kind]) => kind === part)?.[1] ?? 'unit and contract tests';
        const counts = `${String(passed).padStart(4)} passed${failed > 0 ? `, ${failed} FAILED` : ''}`;
        return `  ${part.padEnd(22)} ${counts.padEnd(22)} ${String(files).padStart(2)} files   ${what}`;
      });
    // Jest does not list skipped tests when it runs more than one file.
    const skipped = results.testResults
      .flatMap(({ testResults }) => testResults)
      .filter(({ status, title }) => status === 'pending' && title.startsWith('SKIPPED'))
      .map(({ ancestorTitles, title }) => `  ${[...ancestorTitles, title].join(': ')}`);
    process.stdout.write(`\nCovered:\n${[...lines, ...skipped].join('\n')}\n`);
  }
}

module.exports = SummaryReporter;
