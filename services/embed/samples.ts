/** Pairs of sentences that say the same in other words. Neighbouring pairs are about the same subject, to be hard to tell. */
export const PARAPHRASES: readonly (readonly [string, string])[] = [
  ['How do I reset my password?', 'I forgot my login credentials and need new ones.'],
  ['How can I change my user name?', 'I would like my account to be called something else.'],
  ['The train was late because of the snow.', 'Heavy snowfall delayed the railway service.'],
  ['The train was cancelled because of a strike.', 'Railway workers walked out, so the service did not run.'],
  ['She cooked a soup of carrots and ginger.', 'She made a broth from ginger and orange root vegetables.'],
  ['He baked a loaf of rye bread.', 'A dark bread came out of his oven.'],
  [
    'The company reported higher profits this quarter.',
    'Earnings of the firm rose in the last three months.',
  ],
  ['The company laid off a tenth of its staff.', 'One in ten employees of the firm lost their job.'],
  ['A dog chased the cat up a tree.', 'The cat fled onto a branch with a hound behind it.'],
  ['The puppy is asleep on the sofa.', 'A young dog naps on the couch.'],
  [
    'My laptop does not switch on any more.',
    'The notebook computer stays dark when I press the power button.',
  ],
  ['The battery of my phone is empty after an hour.', 'My mobile runs out of charge far too quickly.'],
  ['It will rain all day tomorrow.', 'Expect wet weather for the whole of the next day.'],
  [
    'The summer was unusually hot and dry.',
    'Temperatures were far above average from June to August, with little rain.',
  ],
  ['The doctor told him to stop smoking.', 'His physician advised him to give up cigarettes.'],
  [
    'Regular exercise keeps the heart healthy.',
    'Moving your body often is good for your cardiovascular system.',
  ],
  ['The court found the defendant guilty.', 'The accused was convicted by the judge.'],
  [
    'Parliament passed a law on data protection.',
    'Legislators adopted rules that guard personal information.',
  ],
  ['The striker scored twice in the second half.', 'Two goals by the forward came after the break.'],
  ['The goalkeeper saved a penalty.', 'A spot kick was stopped by the keeper.'],
  [
    'Water boils at a lower temperature on high mountains.',
    'At altitude, liquids start to bubble before they reach a hundred degrees.',
  ],
  ['The moon causes the tides of the sea.', 'Ebb and flow come from the pull of the Earth’s satellite.'],
  [
    'Children learn languages faster than adults.',
    'Young people pick up a foreign tongue more easily than grown-ups.',
  ],
  [
    'The library is closed on Sundays.',
    'You cannot borrow books at the weekend’s end, as the building is shut.',
  ],
];
