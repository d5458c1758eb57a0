import { fromStripeAmount, toStripeAmount } from '../../../engine/payments/stripe/stripe-amounts';

describe('an amount at Stripe', () => {
  // As in Stripe's own examples: 10 USD, 500 JPY, 5 ISK, 5 UGX, 5.12 KWD, 5 MGA.
  test.each([
    ['USD', 1000, 1000],
    ['EUR', 1, 1],
    ['JPY', 500, 500],
    ['KRW', 1000, 1000],
    ['ISK', 5, 500],
    ['UGX', 5, 500],
    ['KWD', 5120, 5120],
    ['TND', 10, 10],
    ['MGA', 500, 5],
    ['HUF', 1000, 1000],
    ['TWD', 1000, 1000],
  ])('of %s: %d in minor units is %d', (currency, minor, amount) => {
    expect(toStripeAmount(minor, currency)).toBe(amount);
    expect(fromStripeAmount(amount, currency)).toBe(minor);
  });

  test.each([
    ['KWD', 5124],
    ['BHD', 1],
    ['MGA', 501],
  ])('of %s cannot be %d in minor units', (currency, minor) => {
    expect(toStripeAmount(minor, currency)).toBeUndefined();
  });
});
