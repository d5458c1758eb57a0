import { stepOf, type History, type HistoryEvent } from './history-file';

/**
 * The history of a workflow without this step: the event that schedules it and its results are removed, and the others are
 * numbered again.
 */
export function without(history: History, step: HistoryEvent): History {
  const kept = history.events.filter(
    (event) => event !== step && scheduledBy(event) !== step.eventId,
  );
  const numbers = new Map(kept.map(({ eventId }, index) => [eventId, String(index + 1)]));
  const events = JSON.parse(JSON.stringify(kept), (key, value: unknown) =>
    /eventId$/i.test(key) && typeof value === 'string' ? (numbers.get(value) ?? value) : value,
  ) as HistoryEvent[];
  return { events };
}

/** The history of a workflow that scheduled two of its regular activities in the other order. */
export function withSwapped(history: History, one: string, other: string): History {
  const names = new Map([
    [one, other],
    [other, one],
  ]);
  const events = history.events.map((event) => {
    const name = names.get(stepOf(event) ?? '');
    const scheduled = event['activityTaskScheduledEventAttributes'] as object | undefined;
    if (name === undefined || !scheduled) return event;
    return {
      ...event,
      activityTaskScheduledEventAttributes: { ...scheduled, activityType: { name } },
    };
  });
  return { events };
}

/** The event that scheduled the activity of this event. */
function scheduledBy(event: HistoryEvent): string | undefined {
  const about = Object.entries(event).find(([key]) => /^activityTask.*Attributes$/.test(key))?.[1];
  return (about as { scheduledEventId?: string } | undefined)?.scheduledEventId;
}
