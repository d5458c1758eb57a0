import {
  createCredential,
  findCredential,
  formatCredentials,
  parseCredentials,
  sharedCredential,
} from '../../../engine/operators/credentials';

const ann = createCredential('ann', 'operate', 0);
const annAgain = createCredential('ann', 'operate', 0);
const bob = createCredential('bob', 'read', 0);
const all = [ann, annAgain, bob].map(({ credential }) => credential);

describe('a credential', () => {
  test('is found by its token alone, also where a name has several', () => {
    for (const { token, credential } of [ann, annAgain, bob]) {
      expect(findCredential(all, token)).toBe(credential);
    }
    for (const wrong of ['', `${bob.token}x`, bob.token.slice(1), bob.credential.sha256]) {
      expect(findCredential(all, wrong)).toBeUndefined();
    }
    expect(findCredential([], bob.token)).toBeUndefined();
  });

  test('has a token of 256 bits, of which the file has only a hash', () => {
    expect(Buffer.from(bob.token, 'base64url')).toHaveLength(32);
    expect(formatCredentials(all)).not.toContain(bob.token);
    expect(new Set([...all.map(({ id }) => id), ann.token, annAgain.token]).size).toBe(5);
  });

  test('of OPERATOR_TOKEN is named operator, and may operate', () => {
    const shared = sharedCredential('sixteen-letters-');
    expect(findCredential([...all, shared], 'sixteen-letters-')).toBe(shared);
    expect(shared).toMatchObject({ name: 'operator', role: 'operate' });
  });
});

describe('a file of credentials', () => {
  const changed = (fields: object) =>
    JSON.stringify({ operators: [{ ...bob.credential, ...fields }] });

  test('is read as it was written', () => {
    expect(parseCredentials(formatCredentials(all))).toEqual(all);
    expect(parseCredentials(formatCredentials([]))).toEqual([]);
  });

  test.each([
    ['', /not JSON/],
    ['{"operators": [', /not JSON/],
    ['[]', /must be an object with a list "operators"/],
    ['{}', /operators/],
    ['{"operators": [], "more": 1}', /\/more/],
    [changed({ role: 'admin' }), /\/operators\/0\/role must be read or operate/],
    [changed({ name: 'a b' }), /\/operators\/0\/name must be 1 to 64/],
    [changed({ sha256: 'abc' }), /\/operators\/0\/sha256 must be 64 hex digits/],
    [changed({ token: 'x' }), /\/operators\/0\/token/],
    [formatCredentials([bob.credential, bob.credential]), /two credentials have the id/],
  ])('is refused as %s', (text, fault) => {
    expect(() => parseCredentials(text)).toThrow(fault);
  });

  test('is refused without a word of what it holds', () => {
    const secret = changed({ sha256: 'a-token-in-the-wrong-place' });
    expect(() => parseCredentials(secret)).not.toThrow(/in-the-wrong-place/);
    expect(() => parseCredentials('a-token-in-the-wrong-place')).not.toThrow(/in-the-wrong/);
  });
});
