### The texts of every page, in English. Customers read most of them: plain words, no names of protocols.

brand = Counterfoil
error-prefix = Error:

## The stub: the short record at the edge of a page

stub-to = To
stub-from = From
stub-for = For
stub-at = At
stub-customer = Customer
stub-until = Until
stub-lasts = For

## Sign-in

sign-in-title = Sign in
sign-in-heading = Sign in to { $provider }
sign-in-heading-choice = Choose your bank and sign in
sign-in-lead = { $client } asks for access to your accounts. You choose on the next page what it may see.
sign-in-lead-own = Sign in to see which apps have access to your accounts, and to end their access.
sign-in-provider = Your bank
sign-in-provider-none = Choose your bank
sign-in-username = User name
sign-in-password = Password
sign-in-password-stays = { $client } never sees your password.
sign-in-submit = Sign in
sign-in-cancel = Cancel and go back
sign-in-ended-title = Please sign in again
sign-in-ended-text = You are not signed in here any more. Nothing has been shared; you can choose again after signing in.
sign-in-old-title = Please sign in again
sign-in-old-text = This page was open for more than half an hour, so we start again. Nothing has been shared.
sign-in-another-title = Please sign in as the customer whom { $client } knows
sign-in-another-text = You signed in as somebody else. Sign in as the customer whom { $client } asked for, or cancel and go back.
sign-in-failed-title = You are not signed in
sign-in-failed-text = The user name or the password is wrong. Check both and try again.
sign-in-closed-title = Sign-in is closed until { $until }
sign-in-closed-text = There have been too many tries to sign in with this user name. Until { $until } no password is accepted for it, not even the right one. Nothing has changed in your accounts, and the apps that you have allowed go on working. Please try again then, or ask your bank to let you in sooner. If it was not you who tried, tell your bank.

## Consent

consent-title = Give { $client } access?
consent-heading = Give { $client } access to your accounts?
consent-lead = { $client } would like to read the information below from { $provider }. You choose the accounts, and nothing is shared until you allow it.
consent-accounts = Accounts to share
consent-shared = What { $client } will see
consent-terms = How long, and on what terms
consent-until = Access ends on { $until }.
consent-offline = Until then, { $client } can fetch new information even when you are not using it.
consent-once = Access lasts for { $time }. Then it ends, and { $client } can’t look again without asking you.
consent-lookback =
    { $count ->
        [one] The information goes back over the last day.
       *[other] The information goes back over the last { $count } days.
    }
consent-lookback-all = The information goes back as far as your bank has it on record.
consent-take-back = You can take access back at any time:
consent-take-back-link = see your connected apps (opens in a new tab)
consent-allow = Allow access
consent-deny = Don’t allow
consent-redirect = Either way, you go back to { $host }.
consent-redirect-only = You go back to { $host }.
consent-nothing-title = No account is chosen
consent-nothing-text = Choose at least one account, or don’t allow access.
consent-empty-heading = There is nothing to share
consent-empty-text = { $client } asks for access to your accounts at { $provider }, but you have no account there that can be shared. Nothing has been shared.
consent-back = Go back to { $client }

consent-changed-title = Please look again before you decide
consent-changed-text = Nothing has been shared yet. Since this page was opened:

## What has changed since a page was opened

changed-customer = You are now signed in as { $customer }.
changed-customer-name = You are now named { $customer } here.
changed-customer-again = Your bank has set up your access to this service again.
changed-provider = Your bank is now named { $provider } here.
changed-client-name = The app that asks is now named { $client }. Before, it was { $before }.
changed-client-again = { $client } has been registered again.
changed-client-logo = { $client } has another logo.
changed-client-entity = { $client } now has another operator: { $entity }
changed-client-no-entity = It is no longer said which company operates { $client }.
changed-clusters-more = { $client } now asks to see more: { $kinds }.
changed-clusters-fewer = { $client } no longer asks to see: { $kinds }.
changed-lookback = The information would now go back over { $now }, instead of { $before }.
changed-lasts = { $client } would now have access { $now }, instead of { $before }.
changed-scopes = { $client } now asks for other details about you than before.
changed-accounts-added =
    { $count ->
        [one] One account has been added to the list.
       *[other] { $count } accounts have been added to the list.
    }
changed-accounts-removed =
    { $count ->
        [one] One account is no longer in the list.
       *[other] { $count } accounts are no longer in the list.
    }
changed-accounts-renamed =
    { $count ->
        [one] One account is described in other words.
       *[other] { $count } accounts are described in other words.
    }
changed-old = It was open for more than half an hour.
changed-other = Something on it has changed.
lasts-until = until { $day }
lasts-for = for { $time }
lookback-all = all the time that your bank has on record
lookback-days =
    { $count ->
        [one] the last day
       *[other] the last { $count } days
    }
day-of-year =
    { $day } { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    } { $year }
time-of-day = { $hour }:{ $minute } UTC
time-hours =
    { $count ->
        [one] one hour
       *[other] { $count } hours
    }
time-minutes =
    { $count ->
        [one] one minute
       *[other] { $count } minutes
    }
time-seconds =
    { $count ->
        [one] one second
       *[other] { $count } seconds
    }

party-entity = Operated by { $entity }

account-ending = { $account }, ending in{"\u00A0"}{ $digits }
account-number = { $account }, { $number }

## What is shared. The names after "cluster-" are those of the data standard.

shared-identity = Your name and identity
shared-identity-text = Your name, and a number that stands for you as a customer of your bank.

cluster-ACCOUNT_BASIC = Basic account details
cluster-ACCOUNT_BASIC-text = The name, type and status of each account, and the last digits of its number.
cluster-ACCOUNT_DETAILED = Full account details
cluster-ACCOUNT_DETAILED-text = Terms, interest rates, limits, fees and due dates of each account.
cluster-BALANCES = Balances
cluster-BALANCES-text = How much is in each account, available or owed.
cluster-BILLS = Bills
cluster-BILLS-text = Bills to be paid from your accounts: payees, amounts and dates.
cluster-CUSTOMER_CONTACT = Contact details
cluster-CUSTOMER_CONTACT-text = Your postal address, email address and phone numbers.
cluster-CUSTOMER_PERSONAL = Personal details
cluster-CUSTOMER_PERSONAL-text = Your date of birth and other personal details that your bank holds, such as a tax number.
cluster-IMAGES = Images of documents
cluster-IMAGES-text = Pictures of cheques and receipts.
cluster-INVESTMENTS = Investments
cluster-INVESTMENTS-text = What your investment accounts hold, at what price and value.
cluster-NOTIFICATIONS = Notifications
cluster-NOTIFICATIONS-text = Messages when something about your accounts or this access changes.
cluster-PAYMENT_SUPPORT = Numbers for payments
cluster-PAYMENT_SUPPORT-text = The full account and routing numbers, with which payments to and from your accounts can be set up.
cluster-REWARDS = Rewards
cluster-REWARDS-text = Your reward programmes, with points or miles earned and used.
cluster-STATEMENTS = Statements
cluster-STATEMENTS-text = The regular statements of each account, as documents.
cluster-TAX = Tax forms
cluster-TAX-text = Tax documents about your accounts, with the figures in them.
cluster-TRANSACTIONS = Transactions
cluster-TRANSACTIONS-text = Payments in and out of each account: dates, amounts, descriptions and who was paid.
cluster-unknown-text = Your bank has no description of this information.

## Kinds of accounts. The names after "kind-" are those of the data standard.

kind-401A = 401(a) retirement plan
kind-401K = 401(k) retirement plan
kind-403B = 403(b) retirement plan
kind-457 = 457 retirement plan
kind-529 = 529 education savings plan
kind-ANNUITY = Annuity
kind-AUTOLOAN = Car loan
kind-BROKERAGE = Brokerage account
kind-BROKERAGEPRODUCT = Brokerage account
kind-CASHMANAGEMENT = Cash management account
kind-CD = Certificate of deposit
kind-CHARGE = Charge card
kind-CHECKING = Checking account
kind-COMMERCIALDEPOSIT = Business deposit account
kind-COMMERCIALLINEOFCREDIT = Business line of credit
kind-COMMERCIALLOAN = Business loan
kind-CREDITCARD = Credit card
kind-CREDIT_CARD = Credit card
kind-ESCROW = Escrow account
kind-HOMEEQUITYLOAN = Home equity loan
kind-HOMELINEOFCREDIT = Home equity line of credit
kind-HSA = Health savings account
kind-INSTALLMENT = Installment loan
kind-INVESTMENTACCOUNT = Investment account
kind-IRA = Individual retirement account
kind-LINEOFCREDIT = Line of credit
kind-LOAN = Loan
kind-MONEYMARKET = Money market account
kind-MORTGAGE = Mortgage
kind-PERSONALLOAN = Personal loan
kind-PREPAID = Prepaid account
kind-ROLLOVER = Rollover retirement account
kind-ROTH = Roth retirement account
kind-SAVINGS = Savings account
kind-STUDENTLOAN = Student loan
kind-TRUST = Trust account

## Connected apps

connected-apps-title = Connected apps
connected-apps-lead = These apps can read information from { $provider } because you allowed it. You can end their access at any time, and it stops at once.
connected-apps-empty = No app has access to your accounts at { $provider }. When you allow one, it is listed here.
connected-apps-since = Connected since
connected-apps-until = Access ends
connected-apps-accounts = Accounts
connected-apps-no-accounts = None
connected-apps-shared = What it sees
day-and-time = { $day }, { $time } UTC
connected-apps-several = You have given { $client } access { $count } times. Each time is listed here and can be ended by itself.
connected-apps-more =
    { $count ->
        [one] One earlier time is not listed. It ends with all access of this app.
       *[other] { $count } earlier times are not listed. They end with all access of this app.
    }
connected-apps-end = End access of { $client }
connected-apps-end-all = End all access of { $client }
connected-apps-end-one = End only the access given on { $since }
connected-apps-ended = The access of { $client } has ended.
connected-apps-ended-one =
    { $count ->
        [one] The access that you gave { $client } on { $since } has ended. { $client } still has access that you gave it another time.
       *[other] The access that you gave { $client } on { $since } has ended. { $client } still has access that you gave it { $count } other times.
    }
connected-apps-replay = An access key of this app that had already been used was presented again, and refused. This can be a fault of the app. If you don’t recognise the app, end its access.
connected-apps-sign-out = Sign out

## The way back to an app

form-post-title = Going back
form-post-heading = Going back to { $client }
form-post-text = If nothing happens within a few seconds, continue by hand.
form-post-continue = Continue

## Errors

error-back = Go back to { $client }

error-unknown-client-title = This app is not known here
error-unknown-client-text = The app that sent you is not registered with us, so we can’t let you go on. Nothing has been shared. Please tell the makers of the app.
error-redirect-uri-title = This app can’t be answered
error-redirect-uri-text = The app gave an address to send you back to that is not registered for it. To keep you safe, we stop here. Nothing has been shared. Please tell the makers of the app.
error-unknown-connector-title = This bank is not known here
error-unknown-connector-text = The app asked for a bank that can’t be reached through this service. Go back to the app and choose another one.
error-large-head-title = Your browser sends too much
error-large-head-text = With this request came more cookies than we accept. Clear the cookies of this site in your browser, go back to the app and start again.
error-malformed-title = This request can’t be read
error-malformed-text = Something in the request is missing or damaged. Go back to the app and start again.
error-session-title = This page is too old
error-session-text = It has expired, or it was opened in another browser, or this browser has lost its cookies since. Nothing has been shared or changed. Go back to where you started, to the app for example, and begin again.
error-state-title = This app can’t be answered
error-state-text = The app sent more than it can be given back. Nothing has been shared. Please tell the makers of the app.
error-too-many-accounts-title = You have more accounts than we can show
error-too-many-accounts-text = Access to so many accounts can’t be given on one page. Nothing has been shared. Please ask your bank.
error-already-answered-title = You have already answered
error-already-answered-text = Your decision on this request has been received, and it stands. Go back to the app to go on. If you allowed access, you can end it at any time on the page of your connected apps.
error-not-found-title = There is no such page
error-not-found-text = Check the address, or go back to where you came from.
error-method-title = This page can’t be used in this way
error-method-text = Go back to the app and start again.
error-unavailable-title = Please try again in a moment
error-unavailable-text = The service can’t be reached right now. Nothing is wrong with your accounts.
error-not-all-ended-title = Not all access has ended yet
error-not-all-ended-text = Some of the access of this app could not be ended just now, and may go on. What has ended stays ended. Please go back to your connected apps in a moment and end its access once more.
error-internal-title = Something went wrong on our side
error-internal-text = This is not your fault. Please try again. If it happens again, tell us what you did and when.
error-too-large-title = This request is too large
error-too-large-text = More was sent than we accept. Go back to the app and start again.
