import { summary } from '../../stack/report';
import { loadStackSettings } from '../../stack/settings';

const STACK = {
  redisAddr: '127.0.0.1:6379',
  temporalUiUrl: undefined,
  databaseUrl: 'hidden',
  paymentUrl: 'http://p',
};
const summaryOf = (env: Record<string, string>) => summary(loadStackSettings(env, '/'), STACK);

test('npm start prints both listeners, and sends operators to theirs', () => {
  const text = summaryOf({ ADMIN_PORT: '9199' });
  expect(text).toMatch(/^ {2}gateway +http:\/\/127\.0\.0\.1:8080 /m);
  expect(text).toMatch(/^ {2}operators +http:\/\/127\.0\.0\.1:9199 /m);
  expect(text).toContain('curl http://127.0.0.1:9199/operator/dead-letters');
  expect(text).not.toContain('8080/operator');
});

test('npm start tells how to look into the database, and not its password', () => {
  expect(summaryOf({ FLASH_SALE_DATA: '/data' })).toContain('psql "$(cat /data/database-url)"');
  expect(summaryOf({})).not.toContain('hidden');
});

describe('what npm start says of buyers', () => {
  test('is that everybody is believed, unless it is told otherwise', () => {
    expect(summaryOf({})).toMatch(/^ {2}buyers +trusted: whoever reaches .* as any user_id/m);
    expect(summaryOf({})).not.toContain('FLASH_SALE_TOKEN');
  });

  test('is that they need tokens, and the first purchase has one', () => {
    const text = summaryOf({ BUYER_AUTH: 'jwt' });
    expect(text).toMatch(/^ {2}buyers +jwt: a buyer needs a token/m);
    expect(text).toContain('-H "authorization: Bearer $FLASH_SALE_TOKEN" \\\n');
  });
});
