import type { Command } from 'commander';
import type { Gateway } from '../client/gateway';
import {
  addAdminUrl,
  addCommand,
  addNameAndRequiredReason,
  operatorName,
  requireReason,
  type ActionOptions,
  type End,
} from './command';
import type { Context } from './context';
import { plain, printResult, type ExitCode, type Terminal } from './terminal';

/** Adds `erase` to the command `users`. */
export function addUserCommands(users: Command, actions: UserActions, end: End): void {
  addNameAndRequiredReason(
    addAdminUrl(
      addCommand(
        users,
        'erase <user_id>',
        'Take a user_id out of the archive; orders stay',
        'flash-sale users erase u-7 --why "erasure 17"',
      ),
    ),
  ).action((userId: string, options: ActionOptions) => end(actions.erase({ ...options, userId })));
}

/** Over the gateway's admin listener, with the token of an operator. */
export const userActions = ({ withGateway }: Context) => ({
  erase: (options: EraseOptions) =>
    withGateway({ ...options, operator: true }, (deps) => eraseUser(deps, options)),
});

type UserActions = ReturnType<typeof userActions>;

interface EraseOptions extends ActionOptions {
  readonly userId: string;
}

/** `flash-sale users erase`: 0 once the archive has nothing of the user. Throws a UserError when the gateway refuses. */
export async function eraseUser(
  {
    gateway,
    terminal,
  }: { readonly gateway: Pick<Gateway, 'eraseUser'>; readonly terminal: Terminal },
  { userId, by, ...options }: EraseOptions,
): Promise<ExitCode> {
  const why = requireReason(options.why, by ?? operatorName());
  const erased = await gateway.eraseUser({ user_id: userId, why, ...(by !== undefined && { by }) });
  const { orders, dead_letters, set_aside, replaced_by, not_reached } = erased;
  const text = [
    `${orders} orders are ${plain(replaced_by)}'s now; the bytes of ${dead_letters} dead letters and ${set_aside} records that were set aside are deleted.`,
    'Not reached (docs/personal-data.md):',
    ...not_reached.map((where) => `- ${plain(where)}`),
  ];
  printResult(terminal, options, erased, `${text.join('\n')}\n`);
  return 0;
}
