/** `work`, or an error once it takes longer than `msMax`; what it answers after that is dropped. */
export async function within<T>(work: Promise<T>, msMax: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} has taken more than ${msMax} ms`));
    }, msMax);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
