import { chromium, type Browser, type Page } from 'playwright-core';
import { findProgram } from '../../platform/machine';
import { newCharge } from '../engine/payments/payment-provider.contract';
import { startSimulator } from '../engine/payments/running-simulator';

/** Debian's; elsewhere the tests of the page over HTTP have to do (`payment-page.test.ts`). */
const executablePath = findProgram('chromium', process.env);

if (executablePath === undefined) {
  describe('the payment page in a browser', () => {
    it.skip('SKIPPED: no chromium is on PATH; on Debian: apt-get install chromium', () => {
      // Nothing to run: the name of this test is the message.
    });
  });
} else {
  describe('the payment page in a browser', () => {
    let simulator: Awaited<ReturnType<typeof startSimulator>>;
    let browser: Browser;
    let page: Page;
    beforeAll(async () => {
      simulator = await startSimulator();
      // Containers have a small /dev/shm, and run as root.
      const args = ['--no-sandbox', '--disable-dev-shm-usage'];
      browser = await chromium.launch({ executablePath, args });
      const context = await browser.newContext({ javaScriptEnabled: false });
      page = await context.newPage();
    }, 60_000);
    afterAll(async () => {
      await browser.close();
      await simulator.close();
    });

    /** Opens the page of a new payment, and returns its key. */
    const open = async (): Promise<string> => {
      const charge = newCharge({ amountMinor: 123_456 });
      const result = await simulator.provider.checkout(charge);
      if (result.kind !== 'pending' || !('url' in result.page)) throw new Error('it has a page');
      await page.goto(result.page.url);
      return charge.key;
    };
    const press = (name: string) => page.getByRole('button', { name }).click();

    it('takes a card that is accepted', async () => {
      const key = await open();
      expect(await page.getByRole('heading').textContent()).toContain('$1,234.56');
      await press('Pay with a card that is accepted');
      await page.getByRole('status').waitFor();
      expect(await simulator.statusOf(key)).toBe('captured');
    });

    it('asks for a confirmation, which the buyer gives', async () => {
      const key = await open();
      await press('Pay with a card that asks for confirmation');
      await page.getByRole('button', { name: 'Yes, confirm' }).waitFor();
      expect(await simulator.statusOf(key)).toBe('open');
      await press('Yes, confirm');
      await page.getByRole('status').waitFor();
      expect(await simulator.statusOf(key)).toBe('captured');
    });

    it('takes another card after one that was declined', async () => {
      const key = await open();
      await press('Pay with a card without enough money');
      await page.getByRole('alert').waitFor();
      expect(await simulator.statusOf(key)).toBe('open');
      await press('Pay with a card that is accepted');
      await page.getByRole('status').waitFor();
      expect(await simulator.statusOf(key)).toBe('captured');
    });

    it('lets the buyer walk away, and come back', async () => {
      const key = await open();
      await page.getByRole('link', { name: 'Leave without paying' }).click();
      await page.getByRole('link', { name: 'Go back' }).waitFor();
      expect(await simulator.statusOf(key)).toBe('open');
      await page.getByRole('link', { name: 'Go back' }).click();
      await page.getByRole('button', { name: 'Pay with a card that is accepted' }).waitFor();
    });

    it('has nothing to press once the payment is cancelled', async () => {
      const charge = newCharge();
      const result = await simulator.provider.checkout(charge);
      await simulator.provider.cancel(charge.key);
      if (result.kind !== 'pending' || !('url' in result.page)) throw new Error('it has a page');
      await page.goto(result.page.url);
      expect(await page.getByRole('button').count()).toBe(0);
    });
  });
}
