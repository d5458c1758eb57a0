import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createBodyReader } from '../../api/http/body-reader';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a body that comes byte by byte takes no more memory than its bytes', async () => {
  const req = new IncomingMessage(new Socket());
  req.headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
  const reading = createBodyReader(() => undefined)(req);
  const pieces: WeakRef<Buffer>[] = [];
  for (let i = 0; i < 1_000; i++) {
    const piece = Buffer.from('x');
    pieces.push(new WeakRef(piece));
    req.emit('data', piece);
  }
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  expect(pieces.filter((piece) => piece.deref()).length).toBeLessThan(100);
  req.emit('end');
  expect(await reading).toBe('x'.repeat(1_000));
});
