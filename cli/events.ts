import type { Command } from 'commander';
import { createKafka } from '../engine/kafka/kafka-client';
import { readOrderEvents } from '../engine/kafka/read-log';
import {
  eventId,
  toCloudEvent,
  type EventStatus,
  type OrderEvent,
} from '../engine/orders/order-event';
import { returnEventId, toReturnCloudEvent, type ReturnEvent } from '../engine/orders/return-event';
import { addCommand, pastMoment, wholeNumber, type CommonOptions, type End } from './command';
import { notRunning, type Context } from './context';
import {
  money,
  printJson,
  table,
  type Cell,
  type Colour,
  type ExitCode,
  type Terminal,
} from './terminal';

/** Adds `events`. */
export function addEventsCommand(program: Command, actions: EventsActions, end: End): void {
  addCommand(
    program,
    'events',
    'What other systems were told of orders, newest last',
    'flash-sale events --since 2h --item 101',
    'flash-sale events --order req-1 --json',
  )
    .option('--since <time>', 'not before: 2026-11-24T10:00Z, or 30m, 2h, 7d ago', pastMoment)
    .option('--item <id>', 'only this item')
    .option('--order <request_id>', 'only this order')
    .option('--max <number>', 'show at most this many', wholeNumber(1, 100_000), 50)
    .action((options: EventsOptions) => end(actions.events(options)));
}

/** On the topic in Kafka. */
export const eventsActions = ({ terminal, access, config }: Context) => ({
  events: (options: EventsOptions) => {
    const { kafka } = access(options);
    const { orderEventsTopic: topic } = config();
    const read: ReadEvents = (since, onEvent) =>
      readOrderEvents(createKafka('flash-sale-cli', kafka), topic, since, onEvent).catch(
        (cause: unknown) => {
          throw notRunning(`Cannot read ${topic} from Kafka at ${kafka.addrs.join(',')}`, cause);
        },
      );
    return events({ terminal, read }, options);
  },
});

type EventsActions = ReturnType<typeof eventsActions>;

type ReadEvents = (
  since: { readonly sinceMs: number | undefined },
  onEvent: (event: OrderEvent | ReturnEvent) => void,
) => Promise<void>;

interface EventsOptions extends CommonOptions {
  /** Milliseconds since the epoch. */
  readonly since?: number | undefined;
  readonly item?: string | undefined;
  readonly order?: string | undefined;
  readonly max: number;
}

/** `flash-sale events`: each event once. Always 0, since an empty list is an answer. */
export async function events(
  { terminal, read }: { readonly terminal: Terminal; readonly read: ReadEvents },
  { since, item, order, max, json }: EventsOptions,
): Promise<ExitCode> {
  let newest = new Map<string, OrderEvent | ReturnEvent>();
  let left = 0;
  const keepNewest = () => {
    const sorted = [...newest].sort(([, one], [, other]) => timeOf(one) - timeOf(other));
    left += Math.max(0, sorted.length - max);
    newest = new Map(sorted.slice(-max));
  };
  await read({ sinceMs: since }, (event) => {
    if (item !== undefined && event.order.itemId !== item) return;
    if (order !== undefined && event.order.requestId !== order) return;
    newest.set(idOf(event), event);
    // The topic may hold millions.
    if (newest.size >= 2 * max) keepNewest();
  });
  keepNewest();
  const shown = [...newest.values()];
  if (json)
    printJson(
      terminal,
      shown.map((event) => ('returned' in event ? toReturnCloudEvent(event) : toCloudEvent(event))),
    );
  else if (shown.length === 0) terminal.out('No events.\n');
  else {
    const head = ['time', 'order', 'user', 'item', 'status', 'money', 'payment', 'event id'];
    terminal.out(table(terminal, shown.map(eventRow), head));
    if (left > 0) terminal.out(`The newest ${shown.length}; --max shows more.\n`);
  }
  return 0;
}

const idOf = (event: OrderEvent | ReturnEvent) =>
  'returned' in event ? returnEventId(event) : eventId(event);

/** A revision is a time, or a little more. */
const timeOf = (event: OrderEvent | ReturnEvent) =>
  'returned' in event ? event.returned.at : event.revision;

const COLOURS = {
  confirmed: 'green',
  failed: 'red',
  cancelled: 'grey',
} as const satisfies Record<EventStatus, Colour>;

function eventRow(event: OrderEvent | ReturnEvent): Cell[] {
  const { order, paymentId } = event;
  if ('returned' in event) {
    const { kind, status, amountMinor, at } = event.returned;
    return [
      new Date(at).toISOString(),
      order.requestId,
      order.userId,
      `${order.itemId} ×${order.amount}`,
      { text: `${kind} ${status}`, colour: 'yellow' },
      money(amountMinor, order.currency),
      paymentId ?? '-',
      returnEventId(event),
    ];
  }
  const { status, reason } = event;
  const { requestId, userId, itemId, amount, priceMinor, currency } = order;
  return [
    new Date(event.at).toISOString(),
    requestId,
    userId,
    `${itemId} ×${amount}`,
    { text: reason ?? status, colour: COLOURS[status] },
    status === 'confirmed' ? money(amount * priceMinor, currency) : '-',
    paymentId ?? '-',
    eventId(event),
  ];
}
