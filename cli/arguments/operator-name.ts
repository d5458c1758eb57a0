import { userInfo } from 'node:os';

/** The name of whoever runs the command; in a container the number may have none. */
export function operatorName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    if (process.getuid === undefined) throw error;
    return `uid ${process.getuid()}`;
  }
}
