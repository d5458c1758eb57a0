import { parseFailpoints, type Failpoint } from '../failpoints/parse';
import type { Reader } from './reader';

export interface FailpointConfig {
  /** Places at which the process fails on purpose; none in production. */
  readonly failpoints: readonly Failpoint[];
}

export function readFailpoints(read: Reader): readonly Failpoint[] {
  const text = read.optional('FAILPOINTS') ?? '';
  const { failpoints, problems } = parseFailpoints(text);
  for (const problem of problems) read.fail(`FAILPOINTS ${problem}`);
  if (text !== '' && read.text('ENGINE_MODE', 'development') === 'production') {
    read.fail('FAILPOINTS is for tests: it must not be set when ENGINE_MODE is production');
  }
  return failpoints;
}
