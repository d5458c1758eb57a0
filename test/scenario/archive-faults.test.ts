import { useChaosCases } from '../support/chaos-cases';

const expectNoViolation = useChaosCases();

test('the archive has every order as it ended, and nothing waits for it, whatever happens to it', async () => {
  await expectNoViolation([
    // Archived, and the group does not know it.
    'archiver.write.after=kill',
    // Nothing waits for the archive.
    'postgres=cut',
  ]);
}, 600_000);
