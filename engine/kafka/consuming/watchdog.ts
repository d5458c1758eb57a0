import type { Consumer } from 'kafkajs';

export interface WatchdogTiming {
  /** Crashes in a row, without joining the group between them, after which only a new process helps. */
  readonly crashesMax: number;
  /** Neither a fetch nor a heartbeat for this long: three session timeouts and a rebalance have passed. */
  readonly silenceMsMax: number;
  readonly checkEveryMs: number;
}

export const WATCHDOG_TIMING: WatchdogTiming = {
  crashesMax: 5,
  silenceMsMax: 40_000,
  checkEveryMs: 1_000,
};

export interface ConsumerWatchdog {
  /** Whether the consumer is a member of its group, as far as it has been told. */
  readonly joined: boolean;
  stop(): void;
}

/**
 * Calls `onDead`, once, when a consumer will not come back by itself. kafkajs leaves the process alive after a final
 * crash, and a member whose coordinator died has been seen to crash and restart for as long as anybody watched.
 */
export function watchConsumer(
  consumer: Pick<Consumer, 'on' | 'events'>,
  onDead: (error: Error) => void,
  timing: WatchdogTiming = WATCHDOG_TIMING,
): ConsumerWatchdog {
  const { events } = consumer;
  let joined = false;
  let crashes = 0;
  let aliveAt = Date.now();

  function dead(message: string, cause?: Error): void {
    if (stopped()) return;
    stop();
    onDead(new Error(message, { cause }));
  }
  const timer = setInterval(() => {
    const silentMs = Date.now() - aliveAt;
    if (silentMs > timing.silenceMsMax) dead(`the Kafka consumer is silent for ${silentMs} ms`);
  }, timing.checkEveryMs);
  let running = true;
  const stopped = () => !running;
  const stop = () => {
    running = false;
    clearInterval(timer);
  };

  const alive = () => {
    aliveAt = Date.now();
  };
  const left = () => {
    joined = false;
  };
  consumer.on(events.FETCH, alive);
  consumer.on(events.HEARTBEAT, alive);
  consumer.on(events.STOP, left);
  consumer.on(events.DISCONNECT, left);
  consumer.on(events.GROUP_JOIN, () => {
    joined = true;
    crashes = 0;
    alive();
  });
  consumer.on(events.CRASH, ({ payload: { error, restart } }) => {
    joined = false;
    crashes++;
    if (!restart) dead('the Kafka consumer has crashed for good', error);
    else if (crashes >= timing.crashesMax)
      dead(`the Kafka consumer has crashed ${crashes}×`, error);
  });
  return {
    get joined() {
      return joined;
    },
    stop,
  };
}
