import type { ChargeContext, EventType } from './charge-record';

export interface SimulatorEvent {
  readonly id: string;
  readonly type: EventType;
  readonly at: number;
  readonly key: string;
  readonly context?: ChargeContext;
}

/** `next`: since when the next page begins; absent: there is no more yet. */
export interface EventPage {
  readonly events: readonly SimulatorEvent[];
  readonly next?: number;
}

/** Some 30 MB. The oldest go first, as at a provider that keeps its events for a month; the file keeps all. */
const EVENTS_MAX = 100_000;

/** Events in the order of their times. */
export function createEventList(eventsMax = EVENTS_MAX) {
  const events: SimulatorEvent[] = [];
  return {
    add(event: SimulatorEvent): SimulatorEvent {
      events.push(event);
      if (events.length > eventsMax) events.splice(0, Math.ceil(eventsMax / 10));
      return event;
    },
    /** A page has more than `limit` events only where they are of the same millisecond, which it never splits. */
    page(since: number, limit: number): EventPage {
      let begin = events.length;
      while (begin > 0 && (events[begin - 1]?.at ?? 0) >= since) begin--;
      let end = Math.min(begin + limit, events.length);
      while (end > begin && end < events.length && events[end]?.at === events[end - 1]?.at) end++;
      const next = events[end]?.at;
      return { events: events.slice(begin, end), ...(next !== undefined && { next }) };
    },
  };
}
