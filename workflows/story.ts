import { setCurrentDetails } from '@temporalio/workflow';

/** Adds a line to what the Web UI shows of a running order. */
export type Story = (line: string) => void;

/** The steps done so far, as the Web UI's current details: kept in memory and free of history events. */
export function createStory(): Story {
  const lines: string[] = [];
  return (line) => {
    lines.push(`- ${new Date().toISOString().slice(11, 23)} ${line}`);
    setCurrentDetails(lines.join('\n'));
  };
}

/** What went wrong at the bottom of it: the outer failures only say which activity it was. */
export function rootMessage(error: Error): string {
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}
