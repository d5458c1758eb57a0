import { Command, CommanderError } from 'commander';
import { OperatorError } from '../engine/dead-letters/operator';
import { describeError, UserError } from '../platform/user-error';
import { addArchiveCommands, archiveActions } from './archive';
import { addAuditLogCommand, auditLogActions } from './audit-log';
import { addDlqCommands, dlqActions, inWordsOfTheCommandLine } from './dlq';
import { addDoctorCommand, doctorActions } from './doctor/doctor';
import type { Context } from './context';
import { addEventsCommand, eventsActions } from './events';
import { addItemCommands, itemActions } from './item';
import { addLedgerCommands, ledgerActions } from './ledger';
import { addOperatorCommands, operatorActions } from './operators';
import { addOrderSearchCommands, orderSearchActions } from './order-search';
import { addOrderCommands, orderActions } from './orders';
import { addRefundCommand, refundActions } from './refund';
import { addReportCommand, reportActions } from './report';
import { addScenariosCommand, scenariosActions } from './scenarios/scenarios';
import { addSellingCommands, sellingActions } from './selling';
import { addSaleCommands, addStockCommands, stockActions } from './stock';
import { addTokenCommand, tokenActions } from './token';
import { addUserCommands, userActions } from './users';
import { plainLines, type ExitCode, type Terminal } from './terminal';

/** What each command does, by family. */
export const createActions = (context: Context) => ({
  doctor: doctorActions(context),
  orders: orderActions(context),
  refund: refundActions(context),
  orderSearch: orderSearchActions(context),
  users: userActions(context),
  token: tokenActions(context),
  stock: stockActions(context),
  selling: sellingActions(context),
  ledger: ledgerActions(context),
  item: itemActions(context),
  dlq: dlqActions(context),
  operators: operatorActions(context),
  archive: archiveActions(context),
  report: reportActions(context),
  events: eventsActions(context),
  auditLog: auditLogActions(context),
  scenarios: scenariosActions(context),
});

export type Actions = ReturnType<typeof createActions>;

/**
 * Parses the words of a command line and runs the command. Never throws: an error is a sentence on standard error and exit
 * code 2, or 1 for a valid request that is refused.
 */
export async function runCommandLine(
  words: readonly string[],
  actions: Actions,
  terminal: Terminal,
): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const end = async (code: Promise<ExitCode>) => {
    exitCode = await code;
  };
  const program = new Command('flash-sale')
    .description('Look at a running flash sale, buy from it, and check what it promises.')
    .exitOverride()
    .configureOutput({
      writeOut: terminal.out,
      // The library's messages quote what was typed.
      writeErr: (text) => {
        terminal.err(plainLines(text));
      },
      getOutHasColors: () => terminal.colour,
      getErrHasColors: () => terminal.colour,
    })
    .showHelpAfterError('(--help shows the commands, options and an example)');
  addDoctorCommand(program, actions.doctor, end);
  addOrderCommands(program, actions.orders, end);
  addRefundCommand(program, actions.refund, end);
  const orders = program.command('orders').description('All orders, for operators: the archive');
  addOrderSearchCommands(orders, actions.orderSearch, end);
  const users = program.command('users').description('Users, for operators');
  addUserCommands(users, actions.users, end);
  addTokenCommand(program, actions.token, end);
  const stock = program.command('stock').description('The stock of items');
  addStockCommands(stock, actions.stock, end);
  addLedgerCommands(stock, actions.ledger, end);
  const sale = program.command('sale').description('How items are sold: price, limit, window');
  addSaleCommands(sale, actions.stock, end);
  addSellingCommands(sale, actions.selling, end);
  const item = program.command('item').description('Items whose sale is over');
  addItemCommands(item, actions.item, end);
  const dlq = program.command('dlq').description('The dead letters: orders that failed');
  addDlqCommands(dlq, actions.dlq, end);
  const operator = program.command('operator').description('The credentials of operators');
  addOperatorCommands(operator, actions.operators, end);
  const archive = program.command('archive').description('Records that could not be archived');
  addArchiveCommands(archive, actions.archive, end);
  addReportCommand(program, actions.report, end);
  addEventsCommand(program, actions.events, end);
  addAuditLogCommand(program, actions.auditLog, end);
  addScenariosCommand(program, actions.scenarios, end);
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    return printError(error, terminal);
  }
}

function printError(thrown: unknown, terminal: Terminal): ExitCode {
  const error = thrown instanceof OperatorError ? inWordsOfTheCommandLine(thrown) : thrown;
  // The library has printed what is wrong; code 0 is a requested --help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    terminal.err(`${plainLines(error.message)}\n`);
    return error.exitCode;
  }
  terminal.err(`Unexpected error: ${plainLines(describeError(error))}\n`);
  if (error instanceof Error) terminal.err(`${plainLines(error.stack ?? '')}\n`);
  return 2;
}
