import { createSecretKey } from 'node:crypto';
import { InvalidArgumentError, type Command } from 'commander';
import { SignJWT } from 'jose';
import { loadBuyerAuth } from '../platform/config/command-line';
import { UserError } from '../platform/user-error';
import type { End } from './command';
import type { Context } from './context';
import { printResult, type ExitCode } from './terminal';

/** Adds `token`. */
export function addTokenCommand(program: Command, actions: TokenActions, end: End): void {
  program
    .command('token')
    .description('Make a token of a buyer, to try out BUYER_AUTH=jwt with JWT_SECRET')
    .requiredOption('--user <sub>', 'the buyer')
    .option('--expires <time>', 'how long it is valid: 90s, 30m, 1h or 7d', duration, '1h')
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText(
      'after',
      '\nReads the JWT_* variables of the gateway.\n\nExample:\n  $ export FLASH_SALE_TOKEN=$(npx flash-sale token --user u1)\n  $ npx flash-sale buy --item 101 --user u1\n',
    )
    .action((options: TokenOptions) => end(actions.token(options)));
}

function duration(text: string): string {
  if (/^[1-9]\d{0,6}[smhd]$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a time such as 90s, 30m, 1h or 7d.');
}

export const tokenActions = ({ terminal, env }: Context) => ({
  /** `flash-sale token`. Throws a UserError in production, and where the gateway has no secret. */
  token: async ({ user, expires, json }: TokenOptions): Promise<ExitCode> => {
    const { production, jwt } = loadBuyerAuth(env);
    if (production) {
      throw new UserError(
        'Only the identity provider makes tokens when ENGINE_MODE is production.',
      );
    }
    if (!jwt) throw new UserError('Set BUYER_AUTH=jwt and the JWT_* variables of the gateway.');
    const [alg] = jwt.algorithms;
    if (!('secret' in jwt.key) || alg === undefined) {
      throw new UserError('The tokens of JWT_JWKS_URL come from its identity provider.');
    }
    const token = await new SignJWT()
      .setProtectedHeader({ alg, typ: 'JWT' })
      .setIssuer(jwt.issuer)
      .setAudience(jwt.audience)
      .setSubject(user)
      .setIssuedAt()
      .setExpirationTime(expires)
      .sign(createSecretKey(Buffer.from(jwt.key.secret.reveal())));
    printResult(terminal, { json }, { token }, `${token}\n`);
    return 0;
  },
});

type TokenActions = ReturnType<typeof tokenActions>;

interface TokenOptions {
  readonly user: string;
  /** A number and its unit, such as `1h`. */
  readonly expires: string;
  readonly json?: boolean | undefined;
}
