import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

/** `read`: the GET routes; `operate`: every route. */
export const ROLES = ['read', 'operate'] as const;
export type Role = (typeof ROLES)[number];

/** Also for logs, tables and records, so without spaces and control characters. */
export const OPERATOR_NAME = /^[A-Za-z0-9][\w.@+-]{0,63}$/;

/**
 * A credential as it is stored: with the SHA-256 of its token, and never the token. A slow hash such as scrypt protects
 * secrets that can be guessed. A token is 256 random bits, which nobody can try through, so that a fast hash hides it as
 * well, and a request with a wrong token costs the gateway microseconds.
 */
const Credential = Type.Object(
  {
    id: Type.String({ pattern: '^[\\w-]{1,32}$', description: 'must be letters and digits' }),
    name: Type.String({
      pattern: OPERATOR_NAME.source,
      description: 'must be 1 to 64 letters, digits or . _ @ + -',
    }),
    role: Type.Union(
      ROLES.map((role) => Type.Literal(role)),
      { description: 'must be read or operate' },
    ),
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'must be 64 hex digits' }),
    added_at: Type.String({ description: 'must be a time' }),
  },
  { additionalProperties: false },
);
export type Credential = Readonly<Static<typeof Credential>>;

const CredentialFile = Type.Object(
  { operators: Type.Array(Credential) },
  { additionalProperties: false, description: 'must be an object with a list "operators"' },
);

/** Throws an Error that says what is wrong, without quoting a value. */
export function parseCredentials(text: string): readonly Credential[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Without the cause: its message quotes the text.
    throw new Error('it is not JSON');
  }
  const [fault] = Value.Errors(CredentialFile, value);
  if (fault) throw new Error(`${fault.path} ${fault.schema.description ?? fault.message}`.trim());
  const { operators } = value as Static<typeof CredentialFile>;
  const ids = operators.map(({ id }) => id);
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined) throw new Error(`two credentials have the id ${twice}`);
  return operators;
}

export function formatCredentials(operators: readonly Credential[]): string {
  return `${JSON.stringify({ operators }, undefined, 2)}\n`;
}

/** A credential with a new token, which is kept nowhere else. */
export function createCredential(
  name: string,
  role: Role,
  now: number,
): { readonly credential: Credential; readonly token: string } {
  const token = randomBytes(32).toString('base64url');
  const id = randomBytes(6).toString('hex');
  const added = new Date(now).toISOString();
  return { credential: { id, name, role, sha256: hash(token), added_at: added }, token };
}

/** The credential of OPERATOR_TOKEN. */
export function sharedCredential(token: string): Credential {
  const sha256 = hash(token);
  return { id: 'OPERATOR_TOKEN', name: 'operator', role: 'operate', sha256, added_at: '' };
}

/** Looks at every credential and compares whole hashes, so that its time says nothing about any of them. */
export function findCredential(
  credentials: readonly Credential[],
  token: string,
): Credential | undefined {
  const given = Buffer.from(hash(token));
  let found: Credential | undefined;
  for (const credential of credentials) {
    if (timingSafeEqual(given, Buffer.from(credential.sha256))) found = credential;
  }
  return found;
}

function hash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
