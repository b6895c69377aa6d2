### The texts of the sandbox's pages, in English, for developers.

stub-issuer = Issuer

copy = Copy
copy-done = Copied

callback-title = Sandbox: the answer
callback-home = Back to the walk-through
callback-code-heading = The code has arrived
callback-code-text = This page stands in for your app’s redirect URI. The code lives for five minutes and can be redeemed once.
callback-code = Code
callback-state = State
callback-error-heading = The answer is an error
callback-error-text = This page stands in for your app’s redirect URI. Your app would read these values from the query.
callback-error = Error
callback-error-description = Description
callback-nothing-heading = Nothing has arrived
callback-nothing-text = This page stands in for your app’s redirect URI. It shows the code or the error of an authorization.

walkthrough-title = Counterfoil sandbox
walkthrough-heading = A bank to build against
walkthrough-lead = A whole open-finance authority on your machine: a bank, its customers, apps that are registered, tokens that end when they should, and a clock that you can move.
walkthrough-start = Start at the consent page
walkthrough-start-hint = Sign in as customer_1; the password equals the name.
walkthrough-commands = The same from a shell
walkthrough-inside = What is in this sandbox
walkthrough-controls = Sandbox controls: clock, faults, last requests

step-code-title = Get a code
step-code-text = An authorization code without a browser, made in the same way as by the consent page.
step-exchange-title = Exchange the code
step-exchange-text = Once, within five minutes, for an ID token, an access token and a refresh token.
step-accounts-title = Read the accounts
step-accounts-text = The ID token is the bearer. Only the accounts that the customer chose are there.
step-refresh-title = Refresh
step-refresh-text = A new ID token and a new refresh token; the old refresh token is claimed by this.
step-refresh-again-title = Refresh again with the old token
step-refresh-again-text = A refresh token that has been used is refused.
step-revoke-title = Revoke
step-revoke-text = Ends the whole grant: every token of it is refused from now on.
step-clock-title = Move the clock
step-clock-text = Tomorrow’s expiry, today: the whole server follows.

row-client-confidential = Confidential client
row-client-other = Second confidential client
row-client-public = Public client
row-customers = Customers
row-provider = Provider
row-discovery = Discovery

dashboard-title = Sandbox controls
dashboard-lead = Move the clock, make things go wrong, and see what your app does about it. All of this can be scripted too, with counterfoil sandbox-ctl or over HTTP.
dashboard-contents = On this page
dashboard-walkthrough = Walk-through

dashboard-client = Client
dashboard-customer = Customer
dashboard-path = Path
dashboard-value = Value
dashboard-any = Any

dashboard-clock = Clock
dashboard-clock-now = Time in the sandbox
dashboard-clock-moved = Moved by
dashboard-clock-not-moved = Nothing: it is the machine’s time
dashboard-clock-advance = Move by
dashboard-clock-hint = Such as 25h, 90d or 5m1s; with a minus sign it goes back. The whole server follows.
dashboard-clock-submit = Move the clock
dashboard-clock-reset = Back to the machine’s time
dashboard-preset-code = +5m1s, past a code
dashboard-preset-id-token = +25h, past an ID token
dashboard-preset-refresh-token = +91d, past a refresh token

dashboard-faults = Faults
dashboard-faults-none = No fault waits. Set one, and it strikes the next requests that it fits.
dashboard-faults-clear = Clear all faults
dashboard-fault-clear = Clear fault { $id }
dashboard-remaining = Times left
dashboard-fault-set = Set a fault
dashboard-kind = What goes wrong
dashboard-kinds = What each fault does, and the value that it takes
dashboard-value-hint = How long, which code or whose, as the fault wants it.
dashboard-customer-hint = Such as customer_1, for faults of data and grants; any, where it is left out.
dashboard-count = How often
dashboard-count-hint = Once, where it is left out.
dashboard-fault-submit = Set the fault

fault-lose_answer-title = Lose the answer
fault-lose_answer-text = The next answer of /token that says yes is lost on its way: what was asked for is done, and the connection ends without an answer. Takes no value.
fault-delay-title = Delay
fault-delay-text = The request waits before it is looked at. The value says how long: 2s or 250ms, say, and 25s at the most.
fault-unavailable-title = Unavailable, 503
fault-unavailable-text = Nothing is done, and the answer is 503 with Retry-After. The value is that time; 5s, where it is left out.
fault-too_many_requests-title = Too many requests, 429
fault-too_many_requests-text = Nothing is done, and the answer is 429 with Retry-After. The value is that time; 5s, where it is left out.
fault-rotate_keys-title = Rotate the signing keys
fault-rotate_keys-text = Happens at once: new keys sign from now on, which no app has seen. Tokens signed before stay good. For every client, and without a value.
fault-revoke_grant-title = Take the consent back
fault-revoke_grant-text = Happens at once, as if at the bank: ends the grants of the client, of the customer, or of both together. The value, or the customer, says whose.
fault-expire_code-title = Expire a code
fault-expire_code-text = With a code or a customer as the value, it expires at once. Without a value, the next code that the client redeems has just expired.
fault-expire_refresh_token-title = Expire a refresh token
fault-expire_refresh_token-text = With a refresh token or a customer as the value, it expires at once. Without a value, the next refresh token that the client redeems has just expired.
fault-skew-title = Wrong times in ID tokens
fault-skew-text = The times in the next ID token are off. The value says by how much: 5m is ahead, -5m behind.
fault-fdx_error-title = FDX error
fault-fdx_error-text = The next request for accounts is answered with an FDX error. The value is its code: 701 or 705, say.

dashboard-grants = Grants
dashboard-grants-none = There is no grant yet. The walk-through makes one.
dashboard-grants-text = The last 20, the newest first.
dashboard-grant-id = Grant
dashboard-grant-since = Given
dashboard-grant-parent = Without asking, hangs on
dashboard-grant-next = Stands at
dashboard-grant-code = the code
dashboard-grant-refresh-token = refresh token { $number }
dashboard-grant-slip-expired = which has expired
dashboard-grant-revoke = Revoke at the bank
grant-living = Living
grant-expired = Expired
grant-removed = Client or customer removed
grant-parent-ended = The consent it hangs on has ended
grant-ended = Ended
grant-ended-client = Ended by the client
grant-ended-customer = Ended by the customer
grant-ended-operator = Ended by the operator
grant-ended-code_replay = Ended: a used code came again
grant-ended-refresh_token_replay = Ended: a used refresh token came again
grant-ended-client_removed = Ended: the client was removed
grant-ended-customer_removed = Ended: the customer was removed
grant-ended-unknown = Ended, in a way that this version has no word for

dashboard-requests = Last requests
dashboard-requests-none = No app has sent a request since the sandbox was started.
dashboard-requests-text = The last 50 from apps, and from browsers on their way to consent, the newest first. Open one to see all of it; secrets are masked.
dashboard-requests-refresh = Refresh
dashboard-request-nobody = No client known
dashboard-request-lost = answer lost
dashboard-request = Request
dashboard-answer = Answer
dashboard-answer-page = a page, which is not shown

dashboard-grading = Grade a client
dashboard-grading-text = Plays what networks and customers really do to your running app, watches how it copes, and writes a scorecard. Until it is done, ID tokens of that client live 20 seconds.
dashboard-grading-submit = Grade this client
dashboard-grading-now = { $client } is being graded.
dashboard-grading-event = Now
dashboard-grading-expected = Expected of it
dashboard-grading-stop = Stop grading
dashboard-grading-scorecard = See the scorecard

done-advance = The clock is moved.
done-machine_time = The clock shows the machine’s time again.
done-fault = The fault is set.
done-fault_at_once = Done: it has happened.
done-clear_fault = The fault is cleared.
done-clear_faults = All faults are cleared.
done-revoke_grant = The grant has ended: everything of it is refused.
done-grade = Grading has begun. Have your app start.
done-stop_grading = Grading has stopped. What was found stays in the scorecard.
dashboard-unknown-action = There is no such action.
dashboard-unknown-grant = There is no such grant.
