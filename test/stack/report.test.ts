import { summary } from '../../stack/report';
import { loadStackSettings } from '../../stack/settings';

const STACK = { redisAddr: '127.0.0.1:6379', temporalUiUrl: undefined, paymentUrl: 'http://p' };
const summaryOf = (env: Record<string, string>) => summary(loadStackSettings(env, '/'), STACK);

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
