/** The record is definitely not in the log and will not get there: nothing happened. */
export class NotAppendedError extends Error {
  override readonly name: string = 'NotAppendedError';
}

/** More records wait for Kafka than the bound allows; nothing was handed over. */
export class QueueFullError extends NotAppendedError {
  override readonly name = 'QueueFullError';
}

/** The record was handed to Kafka and no acknowledgement came before the producer was closed: it may be in the log. */
export class AppendUnknownError extends Error {
  override readonly name = 'AppendUnknownError';
}
