import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';

const FOLDER = join(__dirname, 'histories');
const SUFFIX = '.json';

/** A history in Temporal's JSON form: as `temporal workflow show --output json` prints it. */
export interface History {
  readonly events: readonly HistoryEvent[];
}

export interface HistoryEvent {
  readonly eventId: string;
  readonly eventType: string;
  /** One of these, by the event's type, has its attributes. */
  readonly [attributes: string]: unknown;
}

export function readHistory(name: string): History {
  return JSON.parse(readFileSync(join(FOLDER, `${name}${SUFFIX}`), 'utf8')) as History;
}

/** One event a line: small, and readable in a diff. */
export function writeHistory(name: string, { events }: History): void {
  const lines = events.map((event) => JSON.stringify(event)).join(',\n');
  writeFileSync(join(FOLDER, `${name}${SUFFIX}`), `{"events":[\n${lines}\n]}\n`);
}

/** The history of a run as it stands, without what names the machine. */
export async function historyOf(handle: Pick<WorkflowHandle, 'fetchHistory'>): Promise<History> {
  return scrubbed(JSON.parse(historyToJSON(await handle.fetchHistory())) as History);
}

/** The names of the recorded histories. */
export function recordedHistories(): string[] {
  return readdirSync(FOLDER)
    .map((file) => file.slice(0, -SUFFIX.length))
    .sort();
}

/** Fields with the host, process and path of the recording. */
const MACHINE: Readonly<Record<string, string>> = {
  identity: 'worker',
  stackTrace: '',
};

/** The history without host names, process ids and paths. It replays as before. */
function scrubbed(history: History): History {
  return JSON.parse(JSON.stringify(history), (key, value: unknown) => {
    if (typeof value !== 'string') return value;
    if (key in MACHINE) return MACHINE[key];
    // A sticky queue is named after its process, host and time.
    return key === 'name' && /^\d+@/.test(value) ? 'sticky' : value;
  }) as History;
}

/** The steps of a history in their order, whether they were local or regular activities. */
export function stepsOf({ events }: History): string[] {
  return events.flatMap((event) => stepOf(event) ?? []);
}

/** The step that an event asks for, or reports where it was a local activity; undefined for other events. */
export function stepOf(event: HistoryEvent): string | undefined {
  const scheduled = event['activityTaskScheduledEventAttributes'] as
    { activityType: { name: string } } | undefined;
  if (scheduled) return scheduled.activityType.name;
  const marker = event['markerRecordedEventAttributes'] as
    { details?: { data?: { payloads?: { data: string }[] } } } | undefined;
  const data = marker?.details?.data?.payloads?.[0]?.data;
  if (data === undefined) return undefined;
  const { activity_type: step } = JSON.parse(Buffer.from(data, 'base64').toString()) as {
    activity_type: string;
  };
  return step;
}

/** How a history closes: confirmed, cancelled, or the reason it failed with. */
export function outcomeOf({ events }: History): string {
  const last = events.at(-1);
  const failed = last?.['workflowExecutionFailedEventAttributes'] as
    { failure: { message: string } } | undefined;
  if (failed) return failed.failure.message;
  const completed = last?.['workflowExecutionCompletedEventAttributes'] as
    { result: { payloads: { data: string }[] } } | undefined;
  const result = completed?.result.payloads[0]?.data;
  if (result !== undefined) {
    return (JSON.parse(Buffer.from(result, 'base64').toString()) as { outcome: string }).outcome;
  }
  if (last?.eventType === 'EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED') return 'cancelled';
  return `still open at ${String(last?.eventType)}`;
}
