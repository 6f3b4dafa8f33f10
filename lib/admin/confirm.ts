/** Questions to whoever runs a program. */
import { createInterface } from 'node:readline/promises';
import { CommandFailure, type CommandContext } from './command';

/** Waits for Enter, unless `-y` was given. @throws CommandFailure if there is nobody to press it */
export async function confirm({ flags, output }: CommandContext, question: string): Promise<void> {
    if (flags.has('yes')) {
        return;
    }
    output.say(`${question} Press Enter to go on, Ctrl-C to leave it.`);
    const lines = createInterface({ input: process.stdin });
    try {
        for await (const _line of lines) {
            return;
        }
    } finally {
        lines.close();
    }
    throw new CommandFailure('Nobody has pressed Enter: give --yes where nobody is asked.');
}
